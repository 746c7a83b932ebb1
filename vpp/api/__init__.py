"""HTTP: routes, schemas, problem details, event stream."""

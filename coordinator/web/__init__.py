"""The pages and the API. They read only what is published, through `ports.Reader`, and hand statements to the intake."""

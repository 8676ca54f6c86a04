"""What turns handlers into running functions: wiring, HTTP, events, the embedded platform."""

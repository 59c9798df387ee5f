"""The way in and out: HTTP requests, streams of events, the OpenAI-compatible door, the pages."""

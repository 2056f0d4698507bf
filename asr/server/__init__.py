"""A server of transcriptions over HTTP, in the form of OpenAI's API. Needs the extra [server]."""

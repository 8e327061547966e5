"""Other text to speech behind OpenAI's route, each in an environment of its own, to be compared with ours."""

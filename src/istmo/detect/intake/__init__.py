"""How events come in over HTTP: newline JSON, each line judged alone, answered once it is on disk."""

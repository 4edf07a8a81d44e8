"""Where things rest: the SQL engine, migrations, blobs, jobs and the changes that just happened."""

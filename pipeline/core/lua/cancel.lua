-- ARGV: id, reason, message
return cancel_job(ARGV[1], ARGV[2], ARGV[3]) and 1 or 0

-- create_group: makes the consumer group at the stream's beginning, and the stream, unless they are there.
-- KEYS[1] stream   ARGV[1] group
-- A full Redis refuses the plain command, and stays full for as long as nobody reads. Returns 1 if it was made, else 0.
local function create_group(keys, argv)
  local reply = redis.pcall('XGROUP', 'CREATE', keys[1], argv[1], '0', 'MKSTREAM')
  if not reply.err then return 1 end
  if string.match(reply.err, 'BUSYGROUP') then return 0 end
  return reply
end

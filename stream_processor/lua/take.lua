-- take: delivers entries to one consumer up to a bound in events and bytes, which Redis' own commands do not know.
-- KEYS[1] stream   ARGV[1] group   ARGV[2] consumer   ARGV[3] events   ARGV[4] bytes   ARGV[5] entries
-- ARGV[6] least idle time in ms, ARGV[7..] ids: takes over these; without them, entries that nobody has read.
-- An idle time of 0 is for what is this consumer's already: its process lives, so that is no delivery to be counted.
-- Goes on until a bound is reached, so the last entry may pass it. Returns a list of {id, {field, value, ...}}; an id that
-- is no longer pending or idle is left out, and so is one that was deleted (XCLAIM takes that off the pending list).
local function claim(stream, group, consumer, idle_ms, id)
  if idle_ms ~= '0' then return redis.call('XCLAIM', stream, group, consumer, idle_ms, id) end
  local own = redis.call('XPENDING', stream, group, id, id, 1, consumer)[1]
  if not own then return {} end
  return redis.call('XCLAIM', stream, group, consumer, 0, id, 'RETRYCOUNT', own[4])
end

local function take(keys, argv)
  local events, bytes, taken = tonumber(argv[3]), tonumber(argv[4]), {}
  for k = 1, tonumber(argv[5]) do
    if events <= 0 or bytes <= 0 then break end
    local found
    if #argv > 5 then
      found = claim(keys[1], argv[1], argv[2], argv[6], argv[6 + k])
    else
      local reply = redis.call('XREADGROUP', 'GROUP', argv[1], argv[2], 'COUNT', 1, 'STREAMS', keys[1], '>')
      if not reply then break end
      found = reply[1][2]
    end
    local entry = found[1]
    if entry then
      taken[#taken + 1] = entry
      local n = 1
      for i = 1, #entry[2], 2 do
        if entry[2][i] == 'n' then n = tonumber(entry[2][i + 1]) or 1 end
        bytes = bytes - #entry[2][i + 1]
      end
      events = events - math.max(n, 1)
    end
  end
  return taken
end

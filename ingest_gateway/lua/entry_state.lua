-- entry_state: whether the entry that holds the event with an id still waits.
-- KEYS[1] events stream   KEYS[2] its totals   ARGV[1] ms   ARGV[2] seq of the event
-- An entry is deleted when it is acknowledged, so an event whose entry is gone is settled, unless Redis lost its data: then
-- its totals are younger than the event, or have not come as far as its seq. The entry that holds an event is the first
-- with an id not below the event's, if its n reaches back far enough; one of another hand tells nothing.
-- Returns 'waiting', 'settled' (committed, but for those of its events that failed) or 'lost'.
local function entry_state(keys, argv)
  local ms, seq = tonumber(argv[1]), tonumber(argv[2])
  local totals = redis.call('HMGET', keys[2], 'added', 'born_ms')
  if not totals[2] or tonumber(totals[2]) > ms or tonumber(totals[1] or 0) < seq then return 'lost' end
  local holder = redis.call('XRANGE', keys[1], argv[1] .. '-' .. argv[2], '+', 'COUNT', 1)[1]
  if holder then
    local last, n = tonumber(string.match(holder[1], '-(%d+)$')), 0
    for i = 1, #holder[2], 2 do
      if holder[2][i] == 'n' then n = tonumber(holder[2][i + 1]) or 0 end
    end
    if last - n < seq and seq <= last then return 'waiting' end
  end
  return 'settled'
end

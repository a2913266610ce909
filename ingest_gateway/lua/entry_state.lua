-- entry_state: what has become of the event with an id, and of the entry that holds it.
-- KEYS[1] events stream   KEYS[2] parked entries (hash)   ARGV[1] ms   ARGV[2] seq of the event
-- An entry is deleted when it is acknowledged, so an event whose entry is gone is settled. The entry that holds an event
-- is the first with an id not below the event's, if its n reaches back far enough.
-- Returns 'waiting', 'parked' (settled, and an event of the entry failed) or 'settled'.
local function entry_state(keys, argv)
  local id = argv[1] .. '-' .. argv[2]
  local holder = redis.call('XRANGE', keys[1], id, '+', 'COUNT', 1)[1]
  if holder then
    local last = tonumber(string.match(holder[1], '-(%d+)$'))
    if last - tonumber(holder[2][2]) < tonumber(argv[2]) then return 'waiting' end
  end
  if redis.call('HEXISTS', keys[2], id) == 1 then return 'parked' end
  return 'settled'
end

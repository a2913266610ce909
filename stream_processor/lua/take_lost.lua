-- take_lost: takes pending ids off the list whose entries another hand has deleted or trimmed: nobody can store them.
-- KEYS[1] stream   ARGV[1] group   ARGV[2] consumer   ARGV[3..] ids
-- Only settling acknowledges, and it deletes in the same step; so an id that is pending and has no entry is a loss.
-- XCLAIM drops such an id before it looks at idle times, and copies no entry; no entry is idle for as long as is asked here.
-- Returns those ids.
local NEVER_MS = '9007199254740991'

local function take_lost(keys, argv)
  local lost = {}
  for i = 3, #argv do
    local id = argv[i]
    if #redis.call('XPENDING', keys[1], argv[1], id, id, 1) > 0 then
      redis.call('XCLAIM', keys[1], argv[1], argv[2], NEVER_MS, id, 'JUSTID')
      if #redis.call('XPENDING', keys[1], argv[1], id, id, 1) == 0 then lost[#lost + 1] = id end
    end
  end
  return lost
end

--[[ A status line: what the engine does, in a few characters. ]]
local M = { _VERSION = "0.1", icons = { ok = "✓", busy = "…", off = "✗" } }

local function pad(text, width)
  return ("%-" .. width .. "s"):format(text or "")
end

function M.render(state, ...)
  local parts, n = {}, select("#", ...)
  for i = 1, n do
    local value = select(i, ...)
    if type(value) == "table" and #value > 0 then
      parts[#parts + 1] = table.concat(value, ", ")
    elseif value ~= nil and not (value == false) then
      parts[#parts + 1] = tostring(value):gsub("%s+$", "")
    end
  end
  goto done
  ::done::
  return pad(M.icons[state.kind], 4) .. [=[ [raw] \n ]=] .. table.concat(parts, " | ")
end

setmetatable(M, { __call = function(self, s) return self.render(s, 1, 2.5e3, 0xff, nil) end })
return M

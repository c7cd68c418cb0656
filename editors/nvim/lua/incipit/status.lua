-- :Incipit status: what the server says about itself, in a floating window.
local client = require('incipit.client')
local float = require('incipit.float')

local M = {}

-- What people look for goes first, before the window ends.
local first_names = { 'state', 'message', 'loadFraction', 'lastCompletion', 'whyEmpty', 'items' }

local function sorted_names(value)
  local ranks = {}
  for rank, name in ipairs(first_names) do ranks[name] = rank end
  local names = vim.tbl_keys(value)
  table.sort(names, function(a, b)
    local rank_a, rank_b = ranks[a] or math.huge, ranks[b] or math.huge
    if rank_a ~= rank_b then return rank_a < rank_b end
    return tostring(a) < tostring(b)
  end)
  return names
end

-- Nested tables become indented lines.
local function describe(value, indent, lines)
  for _, name in ipairs(sorted_names(value)) do
    local item = value[name]
    if type(item) == 'table' then
      lines[#lines + 1] = indent .. name .. ':'
      describe(item, indent .. '  ', lines)
    elseif type(item) == 'number' and item ~= math.floor(item) then
      lines[#lines + 1] = string.format('%s%s: %.1f', indent, name, item)
    else
      lines[#lines + 1] = indent .. name .. ': ' .. tostring(item)
    end
  end
  return lines
end

function M.show()
  local bufnr = vim.api.nvim_get_current_buf()
  local cancel = client.request(bufnr, 'incipit/status', vim.empty_dict(), function(err, result)
    local text = err and 'incipit: ' .. tostring(err.message) or table.concat(describe(result, '', {}), '\n')
    float.set_text(float.open(), text)
  end)
  if not cancel then
    local why = client.why_not_ready(bufnr)
    vim.notify('incipit: there is no status: ' .. why, vim.log.levels.WARN)
  end
end

return M

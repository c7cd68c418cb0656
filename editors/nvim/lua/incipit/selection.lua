-- Lines or a selection of a buffer: its text, and its range as LSP counts.
local client = require('incipit.client')
local position = require('incipit.position')

local M = {}

local api = vim.api

-- The bytes of the first and the last line that belong to the last visual selection, when it was made of characters and
-- has just these lines (1-based); otherwise the lines are whole.
local function columns(bufnr, line1, line2, lines, selected)
  local last_line = lines[#lines]
  if not selected or vim.fn.visualmode() ~= 'v' then return 0, #last_line end
  local first, last = api.nvim_buf_get_mark(bufnr, '<'), api.nvim_buf_get_mark(bufnr, '>')
  if first[1] ~= line1 or last[1] ~= line2 then return 0, #last_line end
  -- The mark is on the first byte of the last character. It belongs to the selection unless 'selection' says otherwise, and
  -- then still where it is the only one, as for Vim's own operators.
  local is_single = first[1] == last[1] and first[2] == last[2]
  local n_of_mark = (vim.o.selection ~= 'exclusive' or is_single) and 1 or 0
  local after = position.to_character(last_line, last[2], 'utf-32') + n_of_mark
  return math.min(first[2], #lines[1]), position.to_byte(last_line, after, 'utf-32')
end

-- Returns the range and the text of lines line1..line2 (1-based), or of the exact selection if `selected` says that they
-- are one.
function M.of(bufnr, line1, line2, selected)
  local encoding = client.encoding()
  local lines = api.nvim_buf_get_lines(bufnr, line1 - 1, line2, false)
  local from, to = columns(bufnr, line1, line2, lines, selected)
  local range = {
    start = { line = line1 - 1, character = position.to_character(lines[1], from, encoding) },
    ['end'] = { line = line1 + #lines - 2, character = position.to_character(lines[#lines], to, encoding) },
  }
  lines[#lines] = lines[#lines]:sub(1, to)
  lines[1] = lines[1]:sub(from + 1)
  return range, table.concat(lines, '\n')
end

return M

-- What a server's item means at the place it was asked for, and what part of a text one key press accepts.
local position = require('incipit.position')

local M = {}

-- `asked` is { bufnr, row, col, line }, which still have to be so. Returns nil for an item that cannot be shown there, else
-- { bufnr, from, text, tail, replaced, command }: `text` replaces what stands between column `from` and the cursor and the
-- first `replaced` bytes of `tail`, which is the rest of the line after the cursor.
function M.from_item(item, asked, encoding)
  local text = item.insertText
  if type(text) == 'table' then text = text.value end  -- StringValue
  if type(text) ~= 'string' then return nil end
  local from, to = asked.col, asked.col
  if item.range then
    if item.range.start.line ~= asked.row or item.range['end'].line ~= asked.row then return nil end
    from = position.to_byte(asked.line, item.range.start.character, encoding)
    to = position.to_byte(asked.line, item.range['end'].character, encoding)
    if from > asked.col or to < asked.col then return nil end
  end
  return {
    bufnr = asked.bufnr,
    from = from,
    text = (text:gsub('\r\n?', '\n')),
    tail = asked.line:sub(asked.col + 1),
    replaced = to - asked.col,
    command = item.command,
  }
end

-- The part of `rest` that one press of a key accepts: 'all', 'line' or 'word'.
function M.portion_of(rest, portion)
  if portion == 'line' then
    return rest:match('^\n?[^\n]*')
  elseif portion == 'word' then
    local word = vim.fn.matchstr(rest, [[^\_s*\%(\k\+\|\%(\k\@!\S\)\+\)]])
    return word ~= '' and word or rest
  end
  return rest
end

-- Puts `text` at a place of the current buffer, in place of the `replaced` bytes behind it, and the cursor behind it. One
-- undo takes back this alone, not what was typed before it.
function M.insert(bufnr, row, col, replaced, text)
  local lines = vim.split(text, '\n', { plain = true })
  vim.cmd('let &g:undolevels = &g:undolevels')
  vim.api.nvim_buf_set_text(bufnr, row, col, row, col + replaced, lines)
  local last_col = #lines == 1 and col + #lines[1] or #lines[#lines]
  vim.api.nvim_win_set_cursor(0, { row + #lines, last_col })
end

return M

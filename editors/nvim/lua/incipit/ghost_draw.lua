-- Draws ghost text with extmarks: between other text where Neovim can (0.10), over it before.
local compat = require('incipit.compat')

local M = {}

local api = vim.api

M.namespace = api.nvim_create_namespace('incipit_ghost')

-- Virtual text draws a tab as one odd cell and control characters raw: spell both out.
local function printable(text, start_column)
  local out, column = {}, start_column
  for piece, tab in text:gsub('[%z\1-\8\11-\31\127]', '?'):gmatch('([^\t]*)(\t?)') do
    out[#out + 1] = piece
    column = column + vim.fn.strdisplaywidth(piece, column)
    if tab ~= '' then
      local width = vim.fn.strdisplaywidth('\t', column)
      out[#out + 1] = string.rep(' ', width)
      column = column + width
    end
  end
  return table.concat(out)
end

-- The rest of the line, drawn again behind ghost text that lies over it, and blanks over what is left of it.
local function covered_tail(chunks, shown, tail, column, first, is_last_line)
  local after = column + vim.fn.strdisplaywidth(first, column)
  if is_last_line then
    local again = printable(tail, after)
    chunks[#chunks + 1] = { again }
    after = after + vim.fn.strdisplaywidth(again, after)
  end
  local covers = column + vim.fn.strdisplaywidth(shown.tail, column)
  if covers > after then chunks[#chunks + 1] = { string.rep(' ', covers - after) } end
end

local function lines_below(lines, tail, hint)
  local below = {}
  for i = 2, #lines do
    local text = printable(lines[i], 0)
    below[#below + 1] = { { text, 'IncipitGhost' } }
    if i == #lines then
      if hint then table.insert(below[#below], { hint, 'IncipitGhostHint' }) end
      if tail ~= '' then table.insert(below[#below], { printable(tail, vim.fn.strdisplaywidth(text)) }) end
    end
  end
  return #below > 0 and below or nil
end

-- Draws `rest` of the suggestion `shown` at a place; `hint` such as " (2/3)" stands behind it.
function M.draw(shown, rest, row, col, hint)
  local lines = vim.split(rest, '\n', { plain = true })
  local tail = shown.tail:sub(shown.replaced + 1)
  local line = api.nvim_buf_get_lines(shown.bufnr, row, row + 1, false)[1]
  local column = vim.fn.strdisplaywidth(line:sub(1, col))
  local first = printable(lines[1], column)
  local chunks = { { first, 'IncipitGhost' } }
  local one_line = #lines == 1
  local inline = compat.has_inline_virtual_text() and one_line and shown.replaced == 0
  if one_line and hint and (inline or shown.tail == '') then chunks[2] = { hint, 'IncipitGhostHint' } end
  if shown.tail ~= '' and not inline then covered_tail(chunks, shown, tail, column, first, one_line) end
  shown.drawn_mark = api.nvim_buf_set_extmark(shown.bufnr, M.namespace, row, col, {
    id = shown.drawn_mark,
    virt_text = chunks,
    virt_text_pos = inline and 'inline' or 'overlay',
    virt_lines = lines_below(lines, tail, hint),
    hl_mode = 'combine',
    right_gravity = false,
  })
end

function M.clear(bufnr)
  if api.nvim_buf_is_valid(bufnr) then api.nvim_buf_clear_namespace(bufnr, M.namespace, 0, -1) end
end

-- A mark at the start of a suggestion, which stays there while the user types behind it.
function M.mark(bufnr, row, col)
  return api.nvim_buf_set_extmark(bufnr, M.namespace, row, col, { right_gravity = false })
end

function M.setup()
  vim.cmd('highlight default link IncipitGhost Comment')
  vim.cmd('highlight default link IncipitGhostHint NonText')
end

return M

-- A floating window with text that may grow; `q` and <Esc> close it. One at a time.
local M = {}

local api = vim.api
local max_width, max_height = 84, 20

-- The open window or nil: { winid, bufnr, on_close }.
local open = nil

local function height_of(text, width)
  local height = 0
  for _, line in ipairs(vim.split(text, '\n', { plain = true })) do
    height = height + math.max(1, math.ceil(vim.fn.strdisplaywidth(line) / width))
  end
  return math.max(1, math.min(height, max_height, vim.o.lines - 4))
end

function M.close()
  local view = open
  if not view then return end
  open = nil
  view.on_close()
  if api.nvim_win_is_valid(view.winid) then api.nvim_win_close(view.winid, true) end
end

-- Opens the window at the cursor and enters it. `on_close` runs once, however it is closed.
function M.open(on_close)
  M.close()
  local bufnr = api.nvim_create_buf(false, true)
  api.nvim_buf_set_option(bufnr, 'bufhidden', 'wipe')
  local winid = api.nvim_open_win(bufnr, true, {
    relative = 'cursor', row = 1, col = 0, style = 'minimal', border = 'rounded',
    width = math.max(20, math.min(max_width, vim.o.columns - 4)), height = 1,
  })
  for name, value in pairs({ wrap = true, linebreak = true, breakindent = true }) do
    api.nvim_win_set_option(winid, name, value)
  end
  for _, key in ipairs({ 'q', '<Esc>' }) do
    vim.keymap.set('n', key, M.close, { buffer = bufnr, nowait = true, silent = true })
  end
  local view = { winid = winid, bufnr = bufnr, on_close = on_close or function() end }
  open = view
  api.nvim_create_autocmd('BufWipeout', {
    buffer = bufnr, once = true,
    callback = function()
      if open == view then vim.schedule(M.close) end
    end,
  })
  return view
end

-- Does nothing once the window is closed.
function M.set_text(view, text)
  if open ~= view or not api.nvim_buf_is_valid(view.bufnr) then return end
  api.nvim_buf_set_option(view.bufnr, 'modifiable', true)
  api.nvim_buf_set_lines(view.bufnr, 0, -1, false, vim.split(text, '\n', { plain = true }))
  api.nvim_buf_set_option(view.bufnr, 'modifiable', false)
  if api.nvim_win_is_valid(view.winid) then
    api.nvim_win_set_height(view.winid, height_of(text, api.nvim_win_get_width(view.winid)))
  end
end

-- The text of the open window, or nil; for tests.
function M.text()
  return open and table.concat(api.nvim_buf_get_lines(open.bufnr, 0, -1, false), '\n') or nil
end

return M

-- A floating window with Markdown that may grow. `q` and <Esc> close it, `y` copies its text, <C-c> cancels what fills it.
-- One at a time.
local markdown = require('incipit.markdown')

local M = {}

local api = vim.api

-- The open window or nil: { winid, bufnr, on_close, on_cancel, text }.
local open = nil
local options = require('incipit.config').defaults.float

function M.setup(config) options = config.float end

local function height_of(text, width)
  local height = 0
  for _, line in ipairs(vim.split(text, '\n', { plain = true })) do
    height = height + math.max(1, math.ceil(vim.fn.strdisplaywidth(line) / width))
  end
  return math.max(1, math.min(height, options.max_height, vim.o.lines - 4))
end

local function fit(view)
  if not api.nvim_win_is_valid(view.winid) then return end
  api.nvim_win_set_height(view.winid, height_of(view.text, api.nvim_win_get_width(view.winid)))
end

function M.close()
  local view = open
  if not view then return end
  open = nil
  view.on_close()
  if api.nvim_win_is_valid(view.winid) then api.nvim_win_close(view.winid, true) end
end

local function map_keys(view)
  local function map(keys, action)
    for _, key in ipairs(keys) do
      vim.keymap.set('n', key, action, { buffer = view.bufnr, nowait = true, silent = true })
    end
  end
  map({ 'q', '<Esc>' }, M.close)
  map({ 'y' }, function() markdown.copy(view.text) end)
  map({ '<C-c>' }, function() view.on_cancel() end)
end

-- Opens the window at the cursor and enters it. `on_close` runs once, however it is closed; `on_cancel` at each <C-c>.
function M.open(on_close, on_cancel)
  M.close()
  local bufnr = api.nvim_create_buf(false, true)
  vim.bo[bufnr].bufhidden = 'wipe'
  local winid = api.nvim_open_win(bufnr, true, {
    relative = 'cursor', row = 1, col = 0, style = 'minimal', border = options.border,
    width = math.max(20, math.min(options.max_width, vim.o.columns - 4)), height = 1,
  })
  local nothing = function() end
  local view = { winid = winid, bufnr = bufnr, on_close = on_close or nothing, on_cancel = on_cancel or nothing, text = '' }
  open = view
  markdown.attach(bufnr)
  markdown.set_up_window(winid)
  map_keys(view)
  api.nvim_create_autocmd('BufWipeout', {
    buffer = bufnr, once = true,
    callback = function()
      if open == view then vim.schedule(M.close) end
    end,
  })
  return view
end

local function is_open(view) return open == view and api.nvim_buf_is_valid(view.bufnr) end

-- Neither does anything once the window is closed.
function M.set_text(view, text)
  if not is_open(view) then return end
  view.text = text
  markdown.set(view.bufnr, text)
  fit(view)
end

function M.append(view, text)
  if not is_open(view) then return end
  view.text = view.text .. text
  markdown.append(view.bufnr, text)
  fit(view)
end

-- The text of the open window, or nil; for tests.
function M.text()
  return open and table.concat(api.nvim_buf_get_lines(open.bufnr, 0, -1, false), '\n') or nil
end

return M

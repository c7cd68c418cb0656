"""How long keys take from the keyboard to the buffer."""

import statistics
import sys
import time

N_KEYS = 500


def time_keys(nvim, name):
    """Types N_KEYS characters in a new line, each when the one before is in the buffer. Returns milliseconds a key, sorted."""
    nvim.type("o")
    nvim.wait("insert mode", "vim.api.nvim_get_mode().mode == 'i'")
    times, line = [], nvim.call("nvim_get_current_line")
    for i in range(N_KEYS):
        key = "abcdefgh "[i % 9]
        line += key
        started = time.perf_counter()
        nvim.type(key)
        while nvim.call("nvim_get_current_line") != line:
            if time.perf_counter() - started > 10:
                raise AssertionError(f"key {i} is lost: {nvim.call('nvim_get_current_line')!r}")
        times.append((time.perf_counter() - started) * 1000)
    nvim.type("<Esc>")
    times.sort()
    print(f"{name}: median {statistics.median(times):.2f} ms, 99 % {times[N_KEYS * 99 // 100]:.2f} ms, "
          f"longest {times[-1]:.2f} ms a key, {N_KEYS} keys", file=sys.stderr)
    return times

# Thin: the two commands of the README, and a few daily ones.
.PHONY: demo test format clean
demo:
	@scripts/setup.sh
	@cmake --preset release >/dev/null && cmake --build --preset release --target incipit
	@scripts/demo.py
test:
	@scripts/test.sh
format:
	@git ls-files '*.h' '*.cpp' '*.cu' '*.cuh' ':!tests/golden' | xargs clang-format-14 -i
clean:
	rm -rf build

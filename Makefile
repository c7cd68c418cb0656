# Thin: the commands of the README, and a few daily ones.
.PHONY: demo test vsix format clean
demo:
	@scripts/setup.sh
	@cmake --preset release >/dev/null && cmake --build --preset release --target incipit
	@scripts/demo.py
test:
	@scripts/test.sh
vsix:
	@scripts/setup.sh extension
	@cmake --preset release >/dev/null && cmake --build --preset release --target incipit
	@scripts/vsix.py build/release/incipit
format:
	@git ls-files '*.h' '*.cpp' '*.cu' '*.cuh' ':!tests/golden' | xargs clang-format-14 -i
clean:
	rm -rf build

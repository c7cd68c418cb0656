#!/usr/bin/env python3
"""What the INCIPIT_CUDA option says and does, on a machine with a CUDA compiler and on one without.

    cuda_option_test.py CMAKE

Configures a project of three lines that asks cmake/incipit_cuda.cmake; a compiler is played by a file that
is not there, or by the one that this machine has.
"""
import os
import shutil
import subprocess
import sys
import tempfile
import unittest

ROOT = os.path.abspath(os.path.join(os.path.dirname(os.path.abspath(__file__)), '../..'))
CMAKE = 'cmake'
PROJECT = f'''cmake_minimum_required(VERSION 3.25)
project(probe LANGUAGES CXX)
include({ROOT}/cmake/incipit_cuda.cmake)
incipit_find_cuda()
message(STATUS "probe: compiler=[${{INCIPIT_CUDA_COMPILER}}]")
message(STATUS "probe: architectures=[${{CMAKE_CUDA_ARCHITECTURES}}]")
'''
NO_COMPILER = '-DCMAKE_CUDA_COMPILER=/nonexistent/nvcc'
NVCC = shutil.which('nvcc', path=os.environ.get('PATH', '') + ':/usr/local/cuda/bin')


def configure(*options):
    with tempfile.TemporaryDirectory() as folder:
        with open(os.path.join(folder, 'CMakeLists.txt'), 'w', encoding='utf-8') as file:
            file.write(PROJECT)
        done = subprocess.run([CMAKE, '-S', folder, '-B', os.path.join(folder, 'build'), *options], capture_output=True,
                              text=True)
        return done.returncode, ' '.join((done.stdout + done.stderr).split())


class CudaOption(unittest.TestCase):
    def test_auto_without_a_compiler_builds_for_the_cpu(self):
        code, text = configure('-DINCIPIT_CUDA=AUTO', NO_COMPILER)
        self.assertEqual(code, 0, text)
        self.assertIn('CUDA: no compiler found, building for the CPU only', text)
        self.assertIn('probe: compiler=[]', text)

    def test_on_without_a_compiler_is_an_error_that_says_what_to_do(self):
        code, text = configure('-DINCIPIT_CUDA=ON', NO_COMPILER)
        self.assertNotEqual(code, 0)
        self.assertIn('no working CUDA compiler was found', text)
        self.assertIn('-DINCIPIT_CUDA=OFF', text)

    def test_off_does_not_look(self):
        code, text = configure('-DINCIPIT_CUDA=OFF')
        self.assertEqual(code, 0, text)
        self.assertIn('CUDA: switched off', text)
        self.assertNotIn('Looking for a CUDA compiler', text)

    def test_another_word_is_refused(self):
        code, text = configure('-DINCIPIT_CUDA=MAYBE')
        self.assertNotEqual(code, 0)
        self.assertIn('want AUTO, ON or OFF, found "MAYBE"', text)

    @unittest.skipUnless(NVCC, 'this machine has no CUDA compiler')
    def test_with_a_compiler_builds_for_every_generation(self):
        code, text = configure('-DINCIPIT_CUDA=AUTO')
        self.assertEqual(code, 0, text)
        self.assertNotIn('probe: compiler=[]', text)
        self.assertIn('for architectures 80-real;86-real;89-real;90a-real', text)
        self.assertRegex(text, 'probe: architectures=.80-real.*80-virtual')

    @unittest.skipUnless(NVCC, 'this machine has no CUDA compiler')
    def test_architectures_that_are_given_stay(self):
        code, text = configure('-DINCIPIT_CUDA=ON', '-DCMAKE_CUDA_ARCHITECTURES=90a-real')
        self.assertEqual(code, 0, text)
        self.assertNotIn('probe: compiler=[]', text)
        self.assertIn('probe: architectures=[90a-real]', text)


if __name__ == '__main__':
    CMAKE = sys.argv.pop(1) if len(sys.argv) > 1 else CMAKE
    unittest.main()

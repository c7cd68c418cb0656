# `cmake --install`: the engine as a library that find_package(incipit) finds as incipit::engine, its public headers, and
# the pocket model.
include(GNUInstallDirs)
include(CMakePackageConfigHelpers)

set(INCIPIT_PUBLIC_HEADERS
  engine/base/cancel_token.h
  engine/base/ids.h
  engine/base/log.h
  engine/base/result.h
  engine/config/engine_options.h
  engine/config/model_config.h
  engine/config/prompt_format.h
  engine/config/prompt_layout.h
  engine/engine.h
  engine/sampling/sampling_params.h
  engine/sampling/stop_rules.h
  engine/tokenizer/tokenizer.h
  kernels/common/check.h
  kernels/common/kv_type.h
)
foreach(header IN LISTS INCIPIT_PUBLIC_HEADERS)
  get_filename_component(folder ${header} DIRECTORY)
  install(FILES ${PROJECT_SOURCE_DIR}/${header} DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}/incipit/${folder} COMPONENT engine)
endforeach()

set(cuda_libraries "")
if(INCIPIT_CUDA_COMPILER)
  set(cuda_libraries kernels_cuda)
endif()

# The object libraries are part of kernels_cpu's archive; they are named because it links them.
install(TARGETS
    engine engine_base engine_checkpoint engine_sampling engine_schedule engine_tokenizer engine_weights
    kernels_avx2 kernels_avx512 kernels_common kernels_cpu kernels_scalar
    ${cuda_libraries}
  EXPORT incipit_targets
  ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR}/incipit COMPONENT engine)

set(INCIPIT_PACKAGE_DIR ${CMAKE_INSTALL_LIBDIR}/cmake/incipit)
install(EXPORT incipit_targets NAMESPACE incipit:: FILE incipitTargets.cmake DESTINATION ${INCIPIT_PACKAGE_DIR} COMPONENT engine)
configure_package_config_file(${PROJECT_SOURCE_DIR}/cmake/incipitConfig.cmake.in ${PROJECT_BINARY_DIR}/incipitConfig.cmake
  INSTALL_DESTINATION ${INCIPIT_PACKAGE_DIR})
write_basic_package_version_file(${PROJECT_BINARY_DIR}/incipitConfigVersion.cmake COMPATIBILITY SameMinorVersion)
install(FILES ${PROJECT_BINARY_DIR}/incipitConfig.cmake ${PROJECT_BINARY_DIR}/incipitConfigVersion.cmake
  DESTINATION ${INCIPIT_PACKAGE_DIR} COMPONENT engine)

install(DIRECTORY ${PROJECT_SOURCE_DIR}/engine/models/ DESTINATION ${CMAKE_INSTALL_DATADIR}/incipit/models COMPONENT engine)
install(FILES ${PROJECT_BINARY_DIR}/share/incipit/calibration.txt DESTINATION ${CMAKE_INSTALL_DATADIR}/incipit COMPONENT program)

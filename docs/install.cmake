# What `cmake --install` puts where.
include(CMakePackageConfigHelpers)

install(TARGETS kind-eval kind-infer kind-report kind-train kind-weights RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR})
install(FILES nets/pretrained/kind.safetensors nets/pretrained/kind.md DESTINATION ${CMAKE_INSTALL_DATADIR}/kind)

# Libraries: C++ static, C shared.
foreach(library core layers losses nets c)
  set_target_properties(kind_${library} PROPERTIES EXPORT_NAME ${library})
endforeach()
install(TARGETS kind_core kind_layers kind_losses kind_nets EXPORT kind-cpp-targets
        ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR})
install(TARGETS kind_c EXPORT kind-c-targets
        LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR} INCLUDES DESTINATION ${CMAKE_INSTALL_INCLUDEDIR})
install(FILES nets/kind.h DESTINATION ${CMAKE_INSTALL_INCLUDEDIR})
install(DIRECTORY core layers losses nets DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}/kind
        FILES_MATCHING PATTERN "*.h" PATTERN "nets/kind.h" EXCLUDE PATTERN "nets/pretrained" EXCLUDE
        PATTERN "core/kernels/*" EXCLUDE)
install(FILES core/kernels/kernels.h core/kernels/block_kernels.h
        DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}/kind/core/kernels)

set(KIND_MODEL ${CMAKE_INSTALL_DATADIR}/kind/kind.safetensors)
set(package_dir ${CMAKE_INSTALL_LIBDIR}/cmake/kind)
foreach(language c cpp)
  install(EXPORT kind-${language}-targets NAMESPACE kind:: DESTINATION ${package_dir})
endforeach()
configure_package_config_file(nets/kind-config.cmake.in ${PROJECT_BINARY_DIR}/kind-config.cmake
                              INSTALL_DESTINATION ${package_dir} PATH_VARS KIND_MODEL)
write_basic_package_version_file(${PROJECT_BINARY_DIR}/kind-config-version.cmake COMPATIBILITY SameMinorVersion)
install(FILES ${PROJECT_BINARY_DIR}/kind-config.cmake ${PROJECT_BINARY_DIR}/kind-config-version.cmake
        DESTINATION ${package_dir})

file(RELATIVE_PATH KIND_PREFIX_FROM_PKGCONFIG "/${CMAKE_INSTALL_LIBDIR}/pkgconfig" "/")
configure_file(nets/kind.pc.in ${PROJECT_BINARY_DIR}/kind.pc @ONLY)
install(FILES ${PROJECT_BINARY_DIR}/kind.pc DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig)

# What `cmake --install` puts where, and the Debian package that `cpack` makes of it; see linking.md.
include(CMakePackageConfigHelpers)

install(TARGETS kind-eval kind-infer kind-report kind-train kind-weights RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR})
install(FILES nets/pretrained/kind.safetensors nets/pretrained/kind.md nets/pretrained/split.json DESTINATION ${CMAKE_INSTALL_DATADIR}/kind)

# Libraries: C++ static, C shared.
set(cpp_libraries core files config image layers losses metrics nets onnx pairs tensorflow)
foreach(library ${cpp_libraries} c)
  set_target_properties(kind_${library} PROPERTIES EXPORT_NAME ${library})
endforeach()
list(TRANSFORM cpp_libraries PREPEND kind_)
install(TARGETS ${cpp_libraries} EXPORT kind-cpp-targets
        ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR})
install(TARGETS kind_c EXPORT kind-c-targets
        LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR} INCLUDES DESTINATION ${CMAKE_INSTALL_INCLUDEDIR})
install(FILES nets/c/kind.h DESTINATION ${CMAKE_INSTALL_INCLUDEDIR})
install(DIRECTORY core layers losses nets DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}/kind
        FILES_MATCHING PATTERN "*.h" PATTERN "nets/c/kind.h" EXCLUDE PATTERN "core/program" EXCLUDE PATTERN "nets/pretrained" EXCLUDE)

install(DIRECTORY ${KIND_MOVED_HEADERS_DIR}/ DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}/kind
        PATTERN "program.h" EXCLUDE PATTERN "command_line.h" EXCLUDE PATTERN "nets/kind.h" EXCLUDE)

# The Python package; as Debian has it, for all versions of Python 3. Where it lies, it finds the library.
set(KIND_PYTHON_DIR lib/python3/dist-packages CACHE STRING "Where the Python package goes; empty: nowhere")
if(KIND_PYTHON_DIR)
  install(DIRECTORY infer/python/kind DESTINATION ${KIND_PYTHON_DIR} FILES_MATCHING PATTERN "*.py" PATTERN "py.typed"
          PATTERN "__pycache__" EXCLUDE)
endif()

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
configure_file(nets/c/kind.pc.in ${PROJECT_BINARY_DIR}/kind.pc @ONLY)
install(FILES ${PROJECT_BINARY_DIR}/kind.pc DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig)

# Manual pages and completions, which the programs make of their own options. A build for other machines has to be able
# to run them: CMAKE_CROSSCOMPILING_EMULATOR.
set(KIND_ZSH_DIR ${CMAKE_INSTALL_DATADIR}/zsh/site-functions CACHE STRING "Where zsh looks for completions")
set(documents)
foreach(program kind-eval kind-infer kind-report kind-train kind-weights)
  set(folder ${PROJECT_BINARY_DIR}/documents)
  set(page ${PROJECT_SOURCE_DIR}/docs/man/${program}.1.in)
  file(MAKE_DIRECTORY ${folder}/bash ${folder}/zsh)
  add_custom_command(
    OUTPUT ${folder}/${program}.1.gz ${folder}/bash/${program} ${folder}/zsh/_${program}
    COMMAND ${program} --man ${page} > ${folder}/${program}.1
    COMMAND gzip -9nf ${folder}/${program}.1
    COMMAND ${program} --completion bash > ${folder}/bash/${program}
    COMMAND ${program} --completion zsh > ${folder}/zsh/_${program}
    DEPENDS ${program} ${page})
  list(APPEND documents ${folder}/${program}.1.gz)
  install(FILES ${folder}/${program}.1.gz DESTINATION ${CMAKE_INSTALL_MANDIR}/man1)
  install(FILES ${folder}/bash/${program} DESTINATION ${CMAKE_INSTALL_DATADIR}/bash-completion/completions)
  install(FILES ${folder}/zsh/_${program} DESTINATION ${KIND_ZSH_DIR})
endforeach()
add_custom_target(kind_documents ALL DEPENDS ${documents})

install(FILES README.md CITATION.cff DESTINATION ${CMAKE_INSTALL_DOCDIR})
install(DIRECTORY docs/ DESTINATION ${CMAKE_INSTALL_DOCDIR}/docs FILES_MATCHING PATTERN "*.md"
        PATTERN "samples" EXCLUDE PATTERN "man" EXCLUDE PATTERN "examples" EXCLUDE)
install(DIRECTORY docs/examples DESTINATION ${CMAKE_INSTALL_DOCDIR}/docs)
install(DIRECTORY configs DESTINATION ${CMAKE_INSTALL_DOCDIR})

# Of libraries that are headers, code is in what is installed: their licences go along, as the system has them.
file(READ LICENSE copyright)
foreach(package libcli11-dev libeigen3-dev libstb-dev nlohmann-json3-dev)
  set(licence "see the package ${package}\n")
  if(EXISTS /usr/share/doc/${package}/copyright)
    file(READ /usr/share/doc/${package}/copyright licence)
  endif()
  string(APPEND copyright "\n\n---- Code of ${package}, which is in the programs and libraries:\n\n${licence}")
endforeach()
file(WRITE ${PROJECT_BINARY_DIR}/copyright "${copyright}")
install(FILES ${PROJECT_BINARY_DIR}/copyright DESTINATION ${CMAKE_INSTALL_DOCDIR})

# The Debian package: cmake --workflow --preset package
if(NOT PROJECT_IS_TOP_LEVEL)
  return()
endif()
set(CPACK_GENERATOR DEB)
set(CPACK_PACKAGE_CONTACT "The kind authors <maintainers@kind.invalid>" CACHE STRING "Maintainer of packages")
set(CPACK_PACKAGING_INSTALL_PREFIX ${CMAKE_INSTALL_PREFIX})
set(CPACK_STRIP_FILES ON)
set(CPACK_PACKAGE_DESCRIPTION_SUMMARY "brightens dark photographs, and trains the nets that do so")
set(CPACK_PACKAGE_DESCRIPTION
"Low-light enhancement by the method KinD (Kindling the Darkness, 2019): three
small nets split a picture into reflectance and illumination, take the noise
and the false colours out of the one and bring the other to the level asked
for.

This package has the programs to enhance, train, evaluate and compare, a
trained model, a C library, static C++ libraries with their headers, and a
Python package.")
set(CPACK_DEBIAN_FILE_NAME DEB-DEFAULT)
set(CPACK_DEBIAN_PACKAGE_SECTION graphics)
set(CPACK_DEBIAN_PACKAGE_SHLIBDEPS ON)
set(CPACK_DEBIAN_PACKAGE_GENERATE_SHLIBS ON)
set(CPACK_DEBIAN_PACKAGE_GENERATE_SHLIBS_POLICY ">=")
# For programs in C++ alone.
get_property(image_packages GLOBAL PROPERTY KIND_IMAGE_PACKAGES)
list(JOIN image_packages ", " image_packages)
set(CPACK_DEBIAN_PACKAGE_SUGGESTS "python3-numpy, nlohmann-json3-dev, libpng-dev, libjpeg-dev, zlib1g-dev")
if(image_packages)
  string(APPEND CPACK_DEBIAN_PACKAGE_SUGGESTS ", ${image_packages}")
endif()

# What Debian wants beside.
set(debian ${PROJECT_BINARY_DIR}/debian)
file(WRITE ${debian}/triggers "activate-noawait ldconfig\n")
set(CPACK_DEBIAN_PACKAGE_CONTROL_EXTRA ${debian}/triggers)
file(WRITE ${debian}/changelog "kind (${PROJECT_VERSION}) unstable; urgency=medium

  * Made from the sources of version ${PROJECT_VERSION}, whose repository holds the history.

 -- ${CPACK_PACKAGE_CONTACT}  Mon, 23 Nov 2026 12:00:00 +0000
")
file(WRITE ${debian}/kind "# Programs and library change together, and share one model.
kind: package-name-doesnt-match-sonames *
kind: link-to-shared-library-in-wrong-package *
# CPack adds scripts that do so, beside the trigger.
kind: maintscript-calls-ldconfig *
")
if(CMAKE_INSTALL_PREFIX STREQUAL "/usr")
  execute_process(COMMAND gzip -9nkf ${debian}/changelog COMMAND_ERROR_IS_FATAL ANY)
  install(FILES ${debian}/changelog.gz DESTINATION ${CMAKE_INSTALL_DOCDIR})
  install(FILES ${debian}/kind DESTINATION share/lintian/overrides)
endif()
include(CPack)

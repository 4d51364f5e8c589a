declare const VF_FLOWER_BUILD: string | undefined

/**
 * Identifies the sources of the program, and tells the test build from the release; set by the build. The shim asks only an agent of its
 * own build (src/agent/shim/protocol.h).
 */
export const buildId: string = typeof VF_FLOWER_BUILD === 'undefined' ? 'unbuilt' : VF_FLOWER_BUILD

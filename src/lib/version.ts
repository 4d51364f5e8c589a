declare const VF_FLOWER_VERSION: string | undefined

/** Version of the program; set by the build from package.json. */
export const version: string = typeof VF_FLOWER_VERSION === 'undefined' ? 'unbuilt' : VF_FLOWER_VERSION

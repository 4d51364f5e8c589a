declare const VF_FLOWER_UNIT: string | undefined

/** The text of src/agent/vf-agent.service; set by the build. */
export const unitText: string = typeof VF_FLOWER_UNIT === 'undefined' ? '[Unit]\n' : VF_FLOWER_UNIT

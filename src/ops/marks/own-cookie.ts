/** The first bytes, in hex, of the cookie (TCA_ACT_COOKIE) of every action that vf-offload makes: magic, version 1. */
export const cookiePrefix = '766601'

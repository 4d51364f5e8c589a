/** First bytes of the cookie (TCA_ACT_COOKIE, hex) of every action that vf-offload makes: magic, version 1. */
export const cookiePrefix = '766601'

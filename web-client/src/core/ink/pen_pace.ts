// How often a pen speaks.

/** Raw samples come faster than they need be said: at most one message in this time, the rest with the next animation frame. */
export const SAY_MS = 12;

/**
 * Called at each point of a change to a keychain after which the next step may never come. It does nothing in the daemon; tests kill the
 * process there.
 */
export type Mark = (point: string) => void

export const noMark: Mark = () => undefined

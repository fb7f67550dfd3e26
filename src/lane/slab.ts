/** What OpenSSL writes into and what is written to the caller in one piece; 64 to 256 KiB measured alike. */
export const SLAB_BYTES = 131_072
const MAX_FREE = 64

/** Memory for bytes on their way. It goes back to the pile when it is full and all that was written from it has left. */
export type Slab = { bytes: Buffer; used: number; writing: number; retired: boolean }

const free: Buffer[] = []

export function takeSlab(): Slab {
  return { bytes: free.pop() ?? Buffer.allocUnsafeSlow(SLAB_BYTES), used: 0, writing: 0, retired: false }
}

/** No more will be read into it. */
export function retireSlab(slab: Slab): void {
  slab.retired = true
  giveBack(slab)
}

/** One write from it has ended. */
export function writtenFrom(slab: Slab): void {
  slab.writing -= 1
  giveBack(slab)
}

function giveBack(slab: Slab): void {
  if (slab.retired && slab.writing === 0 && free.length < MAX_FREE) free.push(slab.bytes)
}

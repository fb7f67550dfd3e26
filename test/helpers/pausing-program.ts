const BASE = 0x400000
const HEADER_BYTES = 64 + 56

/** Sleeps in a system call for ever: pause(2), on arm64 ppoll(2) without a time limit, since that has no pause. */
const loops: Record<string, { machine: number; code: number[] }> = {
  // mov eax, 34; syscall; jmp back
  x64: { machine: 62, code: [0xb8, 34, 0, 0, 0, 0x0f, 0x05, 0xeb, 0xf7] },
  // mov x0..x4, #0; mov x8, #73; svc #0; b back
  arm64: {
    machine: 183,
    code: [0xd2800000, 0xd2800001, 0xd2800002, 0xd2800003, 0xd2800004, 0xd2800928, 0xd4000001, 0x17fffff9].flatMap(
      (word) => [word & 0xff, (word >>> 8) & 0xff, (word >>> 16) & 0xff, word >>> 24],
    ),
  },
}

/** A static ELF executable of this machine that does nothing: what a pod's sandbox runs, and a container that must only be there. */
export function pausingProgram(): Buffer {
  const loop = loops[process.arch]
  if (loop === undefined) throw new Error(`no pausing program for ${process.arch}`)
  const size = HEADER_BYTES + loop.code.length
  const file = Buffer.alloc(size)
  file.write('\x7fELF', 0, 'latin1')
  file.set([2, 1, 1], 4) // 64 bits, little-endian, version 1
  file.writeUInt16LE(2, 16) // executable
  file.writeUInt16LE(loop.machine, 18)
  file.writeUInt32LE(1, 20)
  file.writeBigUInt64LE(BigInt(BASE + HEADER_BYTES), 24) // entry
  file.writeBigUInt64LE(64n, 32) // program headers
  file.writeUInt16LE(64, 52)
  file.writeUInt16LE(56, 54)
  file.writeUInt16LE(1, 56)
  file.writeUInt32LE(1, 64) // to be loaded
  file.writeUInt32LE(5, 68) // readable, executable
  file.writeBigUInt64LE(BigInt(BASE), 80)
  file.writeBigUInt64LE(BigInt(BASE), 88)
  file.writeBigUInt64LE(BigInt(size), 96)
  file.writeBigUInt64LE(BigInt(size), 104)
  file.writeBigUInt64LE(0x1000n, 112)
  file.set(loop.code, HEADER_BYTES)
  return file
}

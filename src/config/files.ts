import { X509Certificate } from 'node:crypto'
import { isAbsolute } from 'node:path'
import { errnoOf } from '../errors.ts'
import type { Report } from './problem.ts'

/** Gives a file's text; throws as `fs.readFileSync` does. */
export type ReadFile = (path: string) => string

const CERTIFICATE = /-----BEGIN CERTIFICATE-----[^-]*-----END CERTIFICATE-----/g
/** Linux's `sun_path` holds 108 bytes with the closing zero. */
const MAX_SOCKET_BYTES = 107

/** The text of a PEM file of certificates, each of which is parsed. `undefined` where something is wrong with it, which is reported. */
export function readCertificates(path: string, at: string, readFile: ReadFile, report: Report): string | undefined {
  const text = readText(path, at, readFile, report)
  if (text === undefined) return undefined
  if (text.includes('PRIVATE KEY-----')) {
    report(at, 'holds a private key', 'only certificates belong there')
    return undefined
  }
  const certificates = pemCertificates(text)
  if (certificates.length > 0 && certificates.every(isCertificate)) return text
  report(at, 'is no PEM file of certificates', 'it must hold lines of -----BEGIN CERTIFICATE-----')
  return undefined
}

/** The certificates in a PEM text, each by itself and not parsed. */
export function pemCertificates(text: string): string[] {
  return text.match(CERTIFICATE) ?? []
}

/** Reads a file, or reports why it cannot be read. */
export function readText(path: string, at: string, readFile: ReadFile, report: Report): string | undefined {
  if (!checkAbsolute(path, at, report)) return undefined
  try {
    return readFile(path)
  } catch (thrown) {
    const reason = errnoOf(thrown) ?? 'unknown reason'
    report(at, `cannot be read: ${reason}`, reason === 'ENOENT' ? 'there is no such file' : undefined)
    return undefined
  }
}

/** A daemon has no folder that a relative path could mean. */
export function checkAbsolute(path: string, at: string, report: Report): boolean {
  const isGood = isAbsolute(path) && !path.includes('\0')
  if (!isGood) report(at, 'must be an absolute path')
  return isGood
}

export function checkSocket(path: string, at: string, report: Report): void {
  if (!checkAbsolute(path, at, report)) return
  if (Buffer.byteLength(path) > MAX_SOCKET_BYTES) report(at, `must be at most ${MAX_SOCKET_BYTES} bytes long`)
}

function isCertificate(pem: string): boolean {
  try {
    return new X509Certificate(pem).subject !== undefined
  } catch {
    return false
  }
}

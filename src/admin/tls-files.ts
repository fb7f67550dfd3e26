import { type Followed, type FollowOptions, followFiles } from '../followed-files.ts'
import { type KeyPair, type KeyPairPaths, pairWarnings, readKeyPair } from '../key-pair.ts'

const TOLD = { code: 'LISTEN_FAILED', cert: 'admin.tls.certFile', key: 'admin.tls.keyFile' } as const

/**
 * The certificate of `admin.tls` with its key. Between the replacing of one and of the other they are no pair: that is a fault, and the
 * next look puts it right.
 * @throws LISTEN_FAILED at first, with the file and what to do
 */
export function followKeyPair({ certFile, keyFile }: KeyPairPaths, options: FollowOptions): Promise<Followed<KeyPair>> {
  return followFiles([certFile, keyFile], () => readKeyPair({ certFile, keyFile }, TOLD), options)
}

/** Why callers are not served as they should be, or soon will not be; a line each. */
export function keyPairWarnings(pair: Followed<KeyPair>, wallNowMs: number): string[] {
  const words = { what: TOLD.cert, after: 'no caller takes it', stays: 'the certificate from before serves on' }
  return pairWarnings(pair, words, wallNowMs)
}

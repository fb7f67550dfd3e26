import type { ListedRegistry } from '../config/config.ts'
import { type OwnFile, pulledBy, type Setting } from './client-plan.ts'

/** Where a client reads what it needs to speak TLS with the daemon. */
export type CertificatePaths = { ca: string; cert: string; key: string }

/** The names are those of Docker's `certs.d`, which podman, skopeo and CRI-O look for; `.cert` is a certificate, `.crt` an authority. */
export function certificatePaths(folder: string): CertificatePaths {
  return { ca: `${folder}/ca.crt`, cert: `${folder}/client.cert`, key: `${folder}/client.key` }
}

/** Whether a pull of any of these registries must show a client certificate. */
export function needsCertificate(setting: Setting, registries: readonly ListedRegistry[]): boolean {
  return pulledBy('mtls', setting, registries).length > 0
}

/** None where the daemon speaks plain HTTP; the certificate only where one must be shown. */
export function ownFiles(setting: Setting, { ca, cert, key }: CertificatePaths): OwnFile[] {
  if (setting.proxy.tls === undefined) return []
  const authority: OwnFile = {
    path: ca,
    mode: '0644',
    holds: `the authority that signed ${setting.proxy.tls.certFile}`,
  }
  if (!needsCertificate(setting, setting.registries)) return [authority]
  return [
    authority,
    {
      path: cert,
      mode: '0644',
      holds: `a certificate of this node, signed by an authority of ${setting.proxy.tls.clientCaFile}`,
    },
    { path: key, mode: '0600', holds: 'its key' },
  ]
}

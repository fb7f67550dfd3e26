import type { Setting } from '../../src/install/client-plan.ts'
import { config } from '../config/resolving.ts'

/** A `proxy` section with TLS. */
export const overTls = {
  tls: { certFile: '/ca.pem', keyFile: '/key.pem', clientCaFile: '/two.pem' },
}

/** What the configuration with these registries and this `proxy` section gives to the plans. */
export function settingOf(registries: object[], proxy: object = {}): Setting {
  return config({ registries, keychain: { store: 'memory' }, proxy })
}

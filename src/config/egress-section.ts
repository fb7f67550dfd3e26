import { z } from 'zod'

/** `egress` of the configuration file. */
export const egressSection = z.strictObject({
  proxy: z
    .string()
    .optional()
    .describe(
      'The proxy through which registries, token servers and stores are reached: `http://host:port` or `https://host:port`. Absent: none.',
    ),
  noProxy: z
    .array(z.string())
    .default([])
    .describe(
      'What is reached without it, as NO_PROXY has it: `corp.example` (and all names below), `.corp.example` (only those below), an address, a CIDR range, each with a port if need be; `*` for everything.',
    ),
  credentialsFile: z
    .string()
    .optional()
    .describe(
      'File of mode 0600 with `user:password` for the proxy. Absent: the systemd credential `egress-proxy`, if the service has one.',
    ),
  caFile: z
    .string()
    .optional()
    .describe('PEM file of the authorities by which an `https://` proxy is trusted, beside the system ones.'),
})

import type { RegcreddError } from '../errors.ts'

/** The JSON body that registry clients read (distribution-spec § Error Codes); our own code stands in its detail. */
export function ociErrorBody(error: RegcreddError): string {
  return JSON.stringify({ errors: [{ code: error.oci, message: error.message, detail: { code: error.code } }] })
}

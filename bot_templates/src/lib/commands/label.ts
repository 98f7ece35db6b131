import type { Coding, Meta, Resource } from '@medplum/fhirtypes';

/** HL7's security label of what artificial intelligence asserted. */
export const AI_LABEL: Coding = {
  system: 'http://terminology.hl7.org/CodeSystem/v3-ObservationValue',
  code: 'AIAST',
  display: 'Artificial Intelligence asserted',
};

/** A resource's meta with the label, once. */
export function withAiLabel(meta: Meta | undefined): Meta {
  const security = meta?.security ?? [];
  return security.some(isAiLabel) ? { ...meta } : { ...meta, security: [...security, AI_LABEL] };
}

/** Whether a resource says that artificial intelligence made it. */
export function isAiLabelled(resource: Resource): boolean {
  return (resource.meta?.security ?? []).some(isAiLabel);
}

function isAiLabel({ system, code }: Coding): boolean {
  return system === AI_LABEL.system && code === AI_LABEL.code;
}

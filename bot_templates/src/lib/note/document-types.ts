import type { RequiredCoding } from '../fields.ts';

export const DOCUMENTATION_TYPES = ['progress', 'discharge', 'consultation', 'referral', 'history_physical'] as const;
export type DocumentationType = (typeof DOCUMENTATION_TYPES)[number];

const LOINC = 'http://loinc.org';

/** What kind of document each is, in LOINC, by LOINC's own names. */
export const DOCUMENT_TYPES: Record<DocumentationType, Required<RequiredCoding>> = {
  progress: { system: LOINC, code: '11506-3', display: 'Progress note' },
  discharge: { system: LOINC, code: '18842-5', display: 'Discharge summary' },
  consultation: { system: LOINC, code: '11488-4', display: 'Consult note' },
  referral: { system: LOINC, code: '57133-1', display: 'Referral note' },
  history_physical: { system: LOINC, code: '34117-2', display: 'History and physical note' },
};

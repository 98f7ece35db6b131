import type {
  Attachment,
  Condition,
  DiagnosticReport,
  DocumentReference,
  Medication,
  MedicationStatement,
  Observation,
  Resource,
} from '@medplum/fhirtypes';
import type { AttachmentText, Owner } from '../attachments.ts';
import { conditionText } from './condition.ts';
import { diagnosticReportText } from './diagnostic-report.ts';
import { documentReferenceText } from './document-reference.ts';
import { medicationStatementText } from './medication-statement.ts';
import { observationText } from './observation.ts';

/** The resource types that are embedded. */
export const EMBEDDED_TYPES = [
  'DiagnosticReport',
  'DocumentReference',
  'Observation',
  'Condition',
  'MedicationStatement',
] as const;

export type EmbeddedType = (typeof EMBEDDED_TYPES)[number];
export type EmbeddedResource = DiagnosticReport | DocumentReference | Observation | Condition | MedicationStatement;

/** A passage of a record that belongs together. */
export interface Section {
  title: string;
  /** `structured`: written from coded fields. `note`: somebody's own words. */
  contentType: 'structured' | 'note';
  text: string;
}

/** Something of a record that was not taken, and why. */
export interface Skipped {
  contentType?: string;
  reason: string;
}

/** What of a record is embedded. */
export interface RecordText {
  /** The clinically relevant day, month or year. */
  date: string | undefined;
  sections: Section[];
  skipped: Skipped[];
}

/** Where a record's text looks up what the record refers to. */
export interface RecordSources {
  /** The text of an attachment of a record, or why it has none. */
  attachment(attachment: Attachment, owner: Owner): Promise<AttachmentText>;
  /** The Observations among the ids, in the ids' order. */
  observations(ids: readonly string[]): Promise<Observation[]>;
  medication(id: string): Promise<Medication | undefined>;
}

/**
 * The text of a record by which it is found.
 *
 * Never a name, a birth date or a record number: no `display` of a person's reference, no author, no title of a file.
 */
export async function recordText(resource: EmbeddedResource, sources: RecordSources): Promise<RecordText> {
  switch (resource.resourceType) {
    case 'Observation':
      return observationText(resource);
    case 'Condition':
      return conditionText(resource);
    case 'MedicationStatement':
      return medicationStatementText(resource, sources);
    case 'DiagnosticReport':
      return diagnosticReportText(resource, sources);
    case 'DocumentReference':
      return documentReferenceText(resource, sources);
  }
}

/** Whether a resource is of a type that is embedded. */
export function isEmbedded(resource: Resource): resource is EmbeddedResource {
  return EMBEDDED_TYPES.some((type) => type === resource.resourceType);
}

/** Why a record must not be found at all; undefined when it may. */
export function reasonToWithhold(resource: EmbeddedResource): string | undefined {
  const { status, docStatus } = resource as { status?: string; docStatus?: string };
  const withdrawn = [status, docStatus].find((each) => each === 'entered-in-error' || each === 'cancelled');
  if (withdrawn) {
    return `status ${withdrawn}`;
  }
  if (resource.resourceType === 'Condition') {
    const codes = resource.verificationStatus?.coding?.map((coding) => coding.code);
    return codes?.includes('entered-in-error') ? 'verificationStatus entered-in-error' : undefined;
  }
  const unreviewed = [status, docStatus].some((each) => each === 'preliminary');
  return unreviewed && isAiWritten(resource) ? 'written by a model and still preliminary' : undefined;
}

/** Whether a resource bears the label of the HL7 AI Transparency guide. */
function isAiWritten(resource: Resource): boolean {
  return (resource.meta?.security ?? []).some(
    (label) => label.code === 'AIAST' && label.system === 'http://terminology.hl7.org/CodeSystem/v3-ObservationValue'
  );
}

/** The Patient whom a record is about. */
export function subjectReference(resource: EmbeddedResource): string | undefined {
  return resource.subject?.reference;
}

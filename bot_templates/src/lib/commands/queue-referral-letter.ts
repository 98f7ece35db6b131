import type { DocumentReference, ServiceRequest } from '@medplum/fhirtypes';
import type { RequiredCoding } from '../fields.ts';
import { DOCUMENT_TYPES } from '../note/document-types.ts';
import { textAttachment } from './create-encounter-note-draft.ts';
import { approvalBy, type CommandKind } from './kind.ts';
import { create } from './writes.ts';

/** Drafts a referral: the request, and the letter that goes with it. */
export interface QueueReferralLetter {
  specialty: string | RequiredCoding;
  urgency: 'routine' | 'urgent' | 'asap' | 'stat';
  reason: string;
  summary: string;
}

const REFERRAL = { system: 'http://snomed.info/sct', code: '3457005', display: 'Patient referral' };

export const queueReferralLetter: CommandKind<QueueReferralLetter> = {
  needsEncounter: false,

  read(fields) {
    return {
      specialty: fields.present('specialty', fields.textOrCoding('specialty', 120)),
      urgency: fields.present('urgency', fields.oneOf('urgency', ['routine', 'urgent', 'asap', 'stat'] as const)),
      reason: fields.present('reason', fields.text('reason', 2_000)),
      summary: fields.present('summary', fields.text('summary', 20_000)),
    };
  },

  references: () => [],
  focus: ({ encounterId }) => (encounterId === undefined ? undefined : `Encounter/${encounterId}`),
  rule: () => approvalBy(['practitioner'], 48),

  makes: ['DocumentReference', 'ServiceRequest'],

  writes({ parameters, patientId, encounterId }, context) {
    const { specialty, urgency, reason, summary } = parameters;
    const subject = { reference: `Patient/${patientId}` };
    const type = DOCUMENT_TYPES.referral;
    const letter: DocumentReference = {
      resourceType: 'DocumentReference',
      status: 'current',
      docStatus: 'preliminary',
      type: { coding: [type], text: type.display },
      subject,
      date: context.now,
      author: [{ reference: context.device }],
      description: `${type.display}, a draft`,
      content: [{ attachment: textAttachment(summary, 'text', type.display) }],
      ...(encounterId === undefined ? {} : { context: { encounter: [{ reference: `Encounter/${encounterId}` }] } }),
    };
    const note = create(context, letter);
    const request: ServiceRequest = {
      resourceType: 'ServiceRequest',
      status: 'draft',
      intent: 'proposal',
      priority: urgency,
      code: { coding: [REFERRAL] },
      performerType: typeof specialty === 'string' ? { text: specialty } : { coding: [specialty] },
      subject,
      ...(encounterId === undefined ? {} : { encounter: { reference: `Encounter/${encounterId}` } }),
      authoredOn: context.now,
      requester: { reference: context.device },
      reasonCode: [{ text: reason }],
      supportingInfo: [{ reference: note.fullUrl }],
    };
    return [note, create(context, request)];
  },
};

import type { DocumentReference } from '@medplum/fhirtypes';
import { Buffer } from 'node:buffer';
import { BotFailure } from '../failure.ts';
import type { Fields } from '../fields.ts';
import { DOCUMENT_TYPES, DOCUMENTATION_TYPES, type DocumentationType } from '../note/document-types.ts';
import { approvalBy, type CommandKind } from './kind.ts';
import { create } from './writes.ts';

/** Puts the draft of a note into the record; whoever signs it does so later. */
export interface CreateEncounterNoteDraft {
  noteType: DocumentationType;
  content: string;
  format: 'markdown' | 'text';
  sections: { subjective?: string; objective?: string; assessment?: string; plan?: string } | undefined;
}

export const LONGEST_NOTE = 100_000;
const SECTIONS = ['subjective', 'objective', 'assessment', 'plan'] as const;

export const createEncounterNoteDraft: CommandKind<CreateEncounterNoteDraft> = {
  needsEncounter: true,

  read(fields) {
    return {
      noteType: readNoteType(fields),
      // What a clinician wrote stays as it is, blanks and line ends too.
      content: fields.present('content', fields.verbatim('content', LONGEST_NOTE)),
      format: fields.oneOf('format', ['markdown', 'text'] as const) ?? 'markdown',
      sections: readSections(fields),
    };
  },

  references: () => [],
  focus: ({ encounterId }) => `Encounter/${encounterId}`,
  rule: () => approvalBy(['practitioner', 'nurse'], 24),

  makes: ['DocumentReference'],

  writes({ parameters, patientId, encounterId }, context) {
    const type = DOCUMENT_TYPES[parameters.noteType];
    const note: DocumentReference = {
      resourceType: 'DocumentReference',
      status: 'current',
      docStatus: 'preliminary',
      type: { coding: [type], text: type.display },
      category: [
        {
          coding: [
            {
              system: 'http://hl7.org/fhir/us/core/CodeSystem/us-core-documentreference-category',
              code: 'clinical-note',
              display: 'Clinical Note',
            },
          ],
        },
      ],
      subject: { reference: `Patient/${patientId}` },
      date: context.now,
      author: [{ reference: context.device }],
      description: `${type.display}, a draft`,
      content: [{ attachment: textAttachment(parameters.content, parameters.format, type.display) }],
      context: { encounter: [{ reference: `Encounter/${encounterId}` }] },
    };
    return [create(context, note)];
  },
};

/** A text as an attachment that holds its bytes. */
export function textAttachment(
  text: string,
  format: 'markdown' | 'text',
  title: string
): DocumentReference['content'][number]['attachment'] {
  const contentType = format === 'markdown' ? 'text/markdown; charset=utf-8' : 'text/plain; charset=utf-8';
  return { contentType, data: Buffer.from(text, 'utf8').toString('base64'), title };
}

/** The name of a type, or its LOINC code. */
function readNoteType(fields: Fields): DocumentationType {
  const given = fields.textOrCoding('noteType', 40);
  const type = DOCUMENTATION_TYPES.find((each) => {
    const { system, code } = DOCUMENT_TYPES[each];
    return typeof given === 'object' ? system === given.system && code === given.code : each === given;
  });
  if (type === undefined) {
    throw new BotFailure('INVALID_INPUT', `noteType must be one of ${DOCUMENTATION_TYPES.join(', ')}`, {
      field: 'noteType',
    });
  }
  return type;
}

function readSections(fields: Fields): CreateEncounterNoteDraft['sections'] {
  const given = fields.object('sections');
  if (given === undefined) {
    return undefined;
  }
  const texts = SECTIONS.map((name) => [name, given.verbatim(name, LONGEST_NOTE)] as const);
  given.done();
  return Object.fromEntries(texts.filter(([, text]) => text !== undefined));
}

// How numbers are shown and compared. What is a number decides the service; here it is only a first look.

/** Whether something typed looks like a telephone number. */
export const looksLikeNumber = (text: string): boolean => /^\+?[\d\s()/.-]{3,}$/.test(text.trim()) && digits(text).length >= 3;

/** The digits only. */
export const digits = (text: string): string => text.replace(/\D/g, '');

/** The country code of the account's own number: numbers of that country are shown as people there dial them. */
let home = '';
export const setHome = (ownPhone: string): void => void (home = ownPhone.startsWith('+386') ? '+386' : '');

/** Groups the digits of a number in normal form, so that it can be read out: `01 309 93 96`, `031 555 014`, `+43 155 505 14`. */
export function shown(phone: string): string {
  const slovene = /^\+386(\d{8})$/.exec(phone)?.[1];
  if (slovene !== undefined) {
    const mobile = /^(30|31|40|41|43|49|51|59|64|65|68|69|70|71)/.test(slovene);
    const begin = home === '+386' ? '0' : '+386 ';
    return mobile
      ? `${begin}${slovene.slice(0, 2)} ${slovene.slice(2, 5)} ${slovene.slice(5)}`
      : `${begin}${slovene.slice(0, 1)} ${slovene.slice(1, 4)} ${slovene.slice(4, 6)} ${slovene.slice(6)}`;
  }
  const other = /^(\+\d{2})(\d{6,})$/.exec(phone);
  return other?.[1] && other[2] ? `${other[1]} ${other[2].replace(/(\d{3})(?=\d{2})/g, '$1 ')}` : phone;
}

/** A phone, upright or on its side: it watches and talks, and has no ink. The same conditions hide its rail in design/screens.css. */
export const PHONE = '(max-width: 600px), (max-height: 480px) and (orientation: landscape) and (max-width: 1000px)';

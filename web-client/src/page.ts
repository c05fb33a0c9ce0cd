// The page as it is shipped: everything real. Development puts other ways out of the machine in its place (dev/).
import { Client } from './edge/client';
import { begin } from './main';

begin(new Client());
